"""Training of a generator against a critic: pictures that look true rather than err little."""

from typing import Any

import lightning
import torch
from torch import Tensor, nn

from aqgeo.models.perception import Critic
from aqgeo.training.superres import Settings

WATCH = "likeness"


class Adversarial(lightning.LightningModule):
    """Owns the losses and optimisers of a generator and its critic: Ledig et al. 2017.

    The generator's loss is that of features, of the critic, and of pixels; by the last, colours
    stay where they are.
    """

    def __init__(self, network: Any, features: nn.Module, settings: Settings):
        """Take the generator, trained by pixels before.

        Args:
            network: the generator.
            features: what pictures are compared by, from luminance (b, 1, h, w).
            settings: with the weights of the losses.
        """
        super().__init__()
        self.automatic_optimization = False
        self.network = network.to(memory_format=torch.channels_last)
        critic: Any = Critic()
        self.critic = critic.to(memory_format=torch.channels_last)
        self.features = features
        self.settings = settings
        self.losses: list[float] = []

    def on_train_epoch_start(self) -> None:
        """Tell the data which epoch it is."""
        loader: Any = self.trainer.train_dataloader
        loader.dataset.epoch = self.current_epoch

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Let the generator learn from one batch, then the critic."""
        given, fine = batch
        optimisers: Any = self.optimizers()
        generator, critic = optimisers
        made = self.network(given)
        self.critic.requires_grad_(requires_grad=False)
        loss = self._loss(made, fine)
        self._step(generator, loss, self.network)
        self.critic.requires_grad_(requires_grad=True)
        self._step(critic, self._judged(made.detach(), fine), self.critic)
        schedulers: Any = self.lr_schedulers()
        for scheduler in schedulers:
            scheduler.step()
        self.losses.append(float(loss.detach()))

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Log how like in features one picture is, and its ratio of peak to error, dB."""
        given, fine = batch
        made = self.network(given).clamp(0, 1)
        apart = nn.functional.l1_loss(self.features(made), self.features(fine))
        psnr = -10 * torch.log10(nn.functional.mse_loss(made, fine))
        told = {WATCH: -apart, "psnr": psnr}
        self.log_dict(told, batch_size=1, on_epoch=True, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log the generator's loss of the epoch before."""
        if self.losses:
            self.log("loss", sum(self.losses) / len(self.losses))
            self.losses.clear()

    def configure_optimizers(self) -> Any:
        """Return Adam for both, with rates that fall to a tenth half-way."""
        rate = self.settings.learning_rate
        both = [torch.optim.Adam(m.parameters(), rate) for m in (self.network, self.critic)]
        half = int(self.trainer.estimated_stepping_batches) // 2
        return both, [torch.optim.lr_scheduler.MultiStepLR(one, [half]) for one in both]

    def _loss(self, made: Tensor, fine: Tensor) -> Tensor:
        """Return what the generator must make small."""
        pixels = nn.functional.mse_loss(made, fine)
        apart = nn.functional.l1_loss(self.features(made), self.features(fine))
        believed = nn.functional.softplus(-self.critic(made)).mean()
        weights = self.settings
        return pixels + weights.perceptual * apart + weights.adversarial * believed

    def _judged(self, made: Tensor, fine: Tensor) -> Tensor:
        """Return what the critic must make small."""
        false, true = self.critic(made), self.critic(fine)
        return nn.functional.softplus(false).mean() + nn.functional.softplus(-true).mean()

    def _step(self, optimiser: Any, loss: Tensor, own: nn.Module) -> None:
        optimiser.zero_grad()
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(own.parameters(), 1.0)
        optimiser.step()
