"""What is made of checked frames: a contact sheet, a video."""
