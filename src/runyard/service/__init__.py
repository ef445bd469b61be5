"""What people ask for, whichever way they come in."""
