"""Lines of products: stars, industry selection and EPR."""
