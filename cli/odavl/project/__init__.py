"""What this machine knows about a project: its root, its configuration, Git, CI and its link."""
