"""What runs a quantized network: the same bits from every engine."""
