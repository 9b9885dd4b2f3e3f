"""The six networks, from scratch: no pretrained weights, no torchvision."""
