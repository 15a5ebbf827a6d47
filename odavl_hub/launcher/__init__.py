"""``manage.py hub``: the whole hub under one process.

::

    supervisor ── orphan reaper  ends everything if the supervisor is killed
               ├─ postgres       embedded, unless DATABASE_URL names another
               ├─ redis          embedded, unless REDIS_URL names another
               ├─ web            granian, with its workers
               ├─ worker         Celery: interactive and default queues
               ├─ worker-bulk    Celery: bulk queue
               ├─ relay          lost messages, delayed jobs, periodic tasks (the scheduler)
               └─ first-start    makes the owner, signs `odavl` in, analyses; then ends

The supervisor imports Django once, migrates, and forks our own processes from itself: they share
its memory, and a start pays for one import instead of six.
"""
