"""AlexNet, and the loading of labelled images from tars."""
