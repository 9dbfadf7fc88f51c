FROM --platform=linux/arm/v7/x scratch
