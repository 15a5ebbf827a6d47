"""``python -m odavl``."""

from odavl.main import main

main()
