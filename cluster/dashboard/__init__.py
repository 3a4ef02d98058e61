"""The page of studies inside Ray's dashboard.

None of Ray's dashboard is public API. Whatever fails here leaves the dashboard as Ray made it: ``module``
imports nothing of ours before the first request, ``bar`` gives the index back unchanged, and the shim by
which Ray finds both swallows and logs every error.
"""

TRIED_RAY = "2.60"
"""The Ray with which the tests of the dashboard pass; a test holds the dependency's cap to it."""
