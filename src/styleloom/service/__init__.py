"""An HTTP API on the job layer: ``styleloom serve``, and what the studio stands on.

A request becomes a job in a database (``store.py``). One worker process takes jobs in order (``worker.py``) and can be killed at
any moment: the server starts another, and the job goes on where it was (``supervisor.py``). The routes are in ``app.py``, what
each verb takes in ``verbs.py``, and who may do what in ``security.py``.
"""
