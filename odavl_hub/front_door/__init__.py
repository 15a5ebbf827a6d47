"""Between granian and Django: a request takes a thread once it is there, and for its answer alone.

Django's own ASGI handler is not what stands here: the views are synchronous, and so is all they
call. ``request_body`` reads what a client sends and gives up on one that is too slow,
``wsgi_environ`` says what came in the words of PEP 3333, ``asgi_bridge`` hands it to a thread,
``responses`` sends what that made as fast as its client reads, ``connections`` asks the kernel who
reads too little, ``health_probe`` is where others ask how the hub is, ``capacity`` how much there
may be of all.
Why: docs/decisions/0016-slow-bodies.md, 0026-answers.md.
"""
