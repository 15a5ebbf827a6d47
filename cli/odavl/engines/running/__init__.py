"""The one way in which engines run programs of others.

``programs`` finds them and asks for their version, ``environment`` says in what surroundings they
run, ``processes`` holds one start within bounds (time, output, what it leaves behind), and
``side_by_side`` does the work of several at once. No engine starts a program by another way.
"""
