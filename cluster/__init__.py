"""Everything that knows Ray: the searches, the head of a study and its workers."""
