"""Evaluation of a trained network: accuracy, loss, firing rates, operations, and plots of them.

Others use: `evaluator.evaluate`, `classifier.Classifier`, `monitor.record`, `plots.save`.
"""
