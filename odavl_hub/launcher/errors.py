class StartError(Exception):
    """The hub cannot start; the message is one line that says what is wrong and what to do."""
