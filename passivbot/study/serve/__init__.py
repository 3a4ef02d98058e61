"""The page of studies over HTTP: what it shows, and a small server on this machine.

:mod:`.desk` knows the studies, :mod:`.view` follows one through its log, :mod:`.site` answers requests. The
module in Ray's dashboard (``cluster.dashboard``) answers by the same code.
"""
