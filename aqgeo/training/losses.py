"""Losses of class maps whose labels tell more or less."""

import torch
from torch import Tensor, nn

EITHER, NEITHER = 4, 5
"""Labels of a pixel that is cloud, thick or thin, and of one that is not: what yes-or-no labels and
weak ones tell."""
IGNORED = 255
_CLEAR, _THICK, _THIN, _SHADOW = range(4)
# Of the four classes, EITHER and NEITHER: shadow is 3 % of the simulated pixels, and would be
# learnt last.
_WEIGHT = (1.0, 1.0, 1.5, 3.0, 1.0, 1.0)


class CloudLoss(nn.Module):
    """Cross-entropy, and one minus the soft intersection over union, which is what is measured.

    A label EITHER asks that thick and thin together are likely, NEITHER clear and shadow. Rahman &
    Wang 2016, doi:10.1007/978-3-319-50835-1_22 (soft intersection over union).
    """

    weight: Tensor

    def __init__(self, weight: tuple[float, ...] = _WEIGHT, *, iou: float = 0.5):
        """Take the weight of each label, EITHER and NEITHER last, and that of the second term."""
        super().__init__()
        self.register_buffer("weight", torch.tensor(weight))
        self.iou = iou

    def forward(self, logits: Tensor, label: Tensor, trust: Tensor) -> Tensor:
        """Return the loss.

        Args:
            logits: (b, 4, h, w).
            label: (b, h, w) classes 0 to 3, EITHER, NEITHER or IGNORED.
            trust: (b,) weight of each image's label.
        """
        log_p = extended(logits)
        each = nn.functional.nll_loss(
            log_p, label, weight=self.weight, ignore_index=IGNORED, reduction="none"
        )
        known = (label != IGNORED) * trust[:, None, None]
        entropy = (each * trust[:, None, None]).sum() / known.sum().clamp(min=1)
        p = log_p.exp()
        cloudy = (label == _THICK) | (label == _THIN) | (label == EITHER)
        terms = [_soft_iou(p[:, EITHER], cloudy, known)]
        fine = known * (label < EITHER).float()
        terms += [_soft_iou(p[:, k], label == k, fine) for k in range(logits.shape[1])]
        return entropy + self.iou * (1 - torch.stack(terms)).mean()


def extended(logits: Tensor) -> Tensor:
    """Return (b, 6, h, w) log probabilities: the four classes, thick or thin, clear or shadow."""
    log_p = logits.log_softmax(dim=1)
    pairs = [
        torch.logaddexp(log_p[:, one], log_p[:, two])[:, None]
        for one, two in ((_THICK, _THIN), (_CLEAR, _SHADOW))
    ]
    return torch.cat([log_p, *pairs], dim=1)


def _soft_iou(p: Tensor, true: Tensor, known: Tensor) -> Tensor:
    hit = (p * true * known).sum()
    union = ((p + true.float() - p * true) * known).sum()
    return (hit + 1) / (union + 1)
