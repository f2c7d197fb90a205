"""The classifier module against the evaluation."""

import pytest
import torch

from ottt.config.load import load_config
from ottt.evaluation.classifier import Classifier
from ottt.evaluation.evaluator import evaluate
from ottt.models.registry import build_model


@pytest.mark.parametrize("data", ["digits", "digits_dvs"])
def test_the_highest_score_is_the_prediction_of_the_evaluation(data: str) -> None:
    longer = [5] if data == "digits" else []  # recordings have no more frames than T
    config = load_config({"data.name": data, "T": 3, "T_eval": longer, "model.width": 0.25, "seed": 0})
    net, info = build_model(config), config.data.samples
    frames = (3,) if info.events else ()
    generator = torch.Generator().manual_seed(0)
    inputs = 3 * torch.randn(40, *frames, info.channels, info.height, info.width, generator=generator)
    labels = torch.randint(info.classes, (40,), generator=generator)
    scores = Classifier(net, config).eval()(inputs)
    assert scores.shape == (40, info.classes)
    predicted = scores.argmax(1)
    assert len(predicted.unique()) > 1
    counts = torch.zeros(info.classes, info.classes, dtype=torch.long)
    counts.index_put_((labels, predicted), torch.tensor(1), accumulate=True)
    report = evaluate(net, [(inputs, labels)], config)
    assert counts.tolist() == [list(row) for row in report.confusion]
    if longer:
        assert report.top1_at[5] != report.top1  # T counts, not T_eval
