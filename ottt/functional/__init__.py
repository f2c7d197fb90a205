"""The mathematics of the method as pure functions: state goes in and comes out."""
