"""The mathematics of the method as pure functions: state goes in and comes out.

Others use: `lif.lif_step`, `lif.trace_step`, `kernels.compiled`, `surrogate.SURROGATES`, `precision.DTYPES`,
`precision.float32_products`.
"""
