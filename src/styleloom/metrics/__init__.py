"""Quality of images and generators."""
