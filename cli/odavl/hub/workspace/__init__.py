"""``.odavl/`` between machines: what ``odavl sync push``, ``pull`` and ``status`` do.

* :mod:`.tree`      the folder, walked without following a link
* :mod:`.scanning`  what lies in it: files by content, and what does not travel
* :mod:`.settings`  which ``config.toml`` may travel
* :mod:`.state`     what this machine synchronised last
* :mod:`.merging`   base, here and there: what changed where
* :mod:`.remote`    the hub's side, whose word is checked
* :mod:`.parallel`  a few transfers at once
* :mod:`.folder`    the three together
* :mod:`.pushing`, :mod:`.pulling`
"""
