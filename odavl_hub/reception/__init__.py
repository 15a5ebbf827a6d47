"""Between granian and Django: a request takes a thread once it is there.

Django's own ASGI handler is not what stands here: the views are synchronous, and so is all they
call. ``body`` reads what a client sends and gives up on one that is too slow, ``environment`` says
what came in the words of PEP 3333, ``desk`` hands it to a thread and the answer back.
Why: docs/decisions/0016-slow-bodies.md.
"""
