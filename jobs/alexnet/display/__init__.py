"""What a person sees of an AlexNet run: report and summary."""
