"""Small tools that know nothing of VGGT."""
