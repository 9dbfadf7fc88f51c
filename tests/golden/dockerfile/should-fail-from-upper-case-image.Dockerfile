FROM Not/An/Image
