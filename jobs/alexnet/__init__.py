"""The job alexnet: AlexNet on labelled images in tar files, from S3 or a folder."""
