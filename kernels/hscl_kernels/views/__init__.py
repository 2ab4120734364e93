"""From uint8 images to augmented views."""
