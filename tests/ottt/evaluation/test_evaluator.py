"""The report of an evaluation against independent counts."""

import numpy as np
import pytest
import torch

import ottt
from ottt.data.info import DataInfo
from ottt.evaluation.energy import PJ_PER_AC, PJ_PER_MAC
from ottt.evaluation.monitor import draw, record
from ottt.modules import Context

DATA = DataInfo("", 6, 2, 8, 8)


@pytest.fixture
def case():
    config = ottt.load_config({"T": 3, "T_eval": [1, 5]})
    net = ottt.build_model(config, data=DATA)
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        net.classifier.weight.normal_(0, 1, generator=g)
    inputs = 2 * torch.randn(10, 2, 8, 8, generator=g)
    return config, net, inputs, torch.randint(0, 6, (10,), generator=g)


def test_report_against_a_plain_loop(case) -> None:
    config, net, inputs, labels = case
    batches = [(inputs[:7], labels[:7]), (inputs[7:], labels[7:])]
    report = ottt.evaluate(net, batches, config)
    net.eval()
    state, total, spikes, correct = None, torch.zeros(10, 6), [], {}
    with torch.no_grad():
        for t in range(1, 6):
            out, state = net(inputs, state, Context())
            total += out
            correct[t] = (total.argmax(1) == labels).float().mean().item()
            if t == 3:
                predicted = total.argmax(1)
                in_five = [label in row.topk(5).indices for row, label in zip(total, labels, strict=True)]
            if t <= 3:
                spikes.append([layer.s.mean().item() for layer in state])
    assert report.samples == 10
    assert report.top1_at == pytest.approx({t: correct[t] for t in (1, 3, 5)})
    assert report.top1 == report.top1_at[3]
    assert report.top5 == pytest.approx(np.mean(in_five))
    assert report.rates == pytest.approx(np.mean(spikes, 0), rel=1e-6)
    neurons = np.array([16 * 64, 32 * 16, 64 * 4])
    assert report.total_rate == pytest.approx(np.average(report.rates, weights=neurons))
    expected = np.zeros((6, 6), int)
    np.add.at(expected, (labels.numpy(), predicted.numpy()), 1)
    assert np.array_equal(report.confusion, expected)


def test_operations_by_hand(case) -> None:
    config, net, inputs, labels = case
    report = ottt.evaluate(net, [(inputs, labels)], config)
    # Connections per sample: the stem reads real values once, the others read spikes in each of 3 steps.
    connections = [32 * 16 * (16 * 9), 64 * 4 * (32 * 9), 6 * 64]
    synops = 3 * np.dot(connections, report.rates)
    assert report.macs == 16 * 64 * (2 * 9)
    assert report.synops == pytest.approx(synops, rel=1e-6)
    assert report.energy_nj == pytest.approx((synops * PJ_PER_AC + report.macs * PJ_PER_MAC) / 1000)


def test_evaluation_does_not_change_the_network(case) -> None:
    config, net, inputs, labels = case
    net.train()
    before = [p.clone() for p in net.parameters()]
    ottt.evaluate(net, [(inputs, labels)], config)
    assert net.training
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
    assert not any(layer._forward_hooks for layer in net.modules())
    with pytest.raises(ValueError, match="got none"):
        ottt.evaluate(net, [], config)


def test_a_recording_holds_the_neurons_states(case) -> None:
    _, net, inputs, _ = case
    recordings = record(net, inputs, time_steps=4, layers=["spike_layers.1"])
    (recording,) = recordings.values()
    assert recording.u.shape == recording.s.shape == recording.a.shape == (4, 10, 32, 4, 4)
    trace = np.zeros_like(recording.s[0])
    for t in range(4):
        trace = 0.5 * trace + recording.s[t]
        np.testing.assert_allclose(recording.a[t], trace, rtol=1e-6)
    assert recording.s.sum() > 0
    with pytest.raises(ottt.UserError, match=r"spike_layers\.0, spike_layers\.1, spike_layers\.2, got 'conv9'"):
        record(net, inputs, time_steps=1, layers=["conv9"])
    figure = draw(record(net, inputs, time_steps=4))
    assert len(figure.axes) == 6
