"""Mutation testing: does a test notice when one line of the core is wrong?

``python -m mutants`` puts small mistakes into a copy of the code, one at a time, runs the tests
that execute the changed function, and counts how many of the mistakes a test notices.
"""
