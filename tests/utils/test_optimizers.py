"""`Adam` takes the steps of PyTorch's own."""

import torch

from sk_ssvae.models.m2 import M2Module
from sk_ssvae.utils.optimizers import Adam


def test_steps_are_those_of_pytorch_also_after_loading_the_state():
    def train(optimizer_class, **options):
        """Return the weights after steps on random rows."""
        model = M2Module(3, [0.5, 0.5], 2, (4,), "gaussian", seed=0)
        optimizer = optimizer_class(model.parameters(), lr=0.05, **options)
        g = torch.Generator().manual_seed(0)
        for step in range(5):
            optimizer.zero_grad()
            x = torch.randn(6, 3, generator=g)
            model(x)[:, 0].sum().backward()
            optimizer.step()
            if step == 2:  # continue with another optimizer that loads the state
                state = optimizer.state_dict()
                optimizer = optimizer_class(model.parameters(), lr=9.0, **options)
                optimizer.load_state_dict(state)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    torch.testing.assert_close(train(Adam), train(torch.optim.Adam))
    torch.testing.assert_close(
        train(Adam, amsgrad=True), train(torch.optim.Adam, amsgrad=True)
    )


def test_step_takes_a_closure():
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = Adam([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    torch.testing.assert_close(p.detach(), torch.full((2,), 0.9))
    assert optimizer.param_groups[0]["fused"] is True
