"""How good the program is on labelled footage, under the protocol that a camera imposes."""
