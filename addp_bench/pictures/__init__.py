"""What a cell did and what plugins do, drawn with matplotlib."""
