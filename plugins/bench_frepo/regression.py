"""FRePo's loss: kernel ridge regression from synthetic features to real ones, and its derivatives in closed form.

With features F_p (n, d) of the synthetic images and F_t (m, d) of real ones, learned targets Y (n, K) and centred
classes T (m, K), equation 3 of the paper as the release computes it (`nfr`, `proto_train_step`):

    P = F_t F_p' A^-1 Y      with A = K + reg tr(K) / n I, K = F_p F_p'
    L = 1 / (2 m) ||P - T||²

P is what the classifier that ridge regression fits to the synthetic images says of the real ones. All of it is float64,
whatever the arithmetic around it is. The release's is fp32, which is enough where there are more features than images:
with FRePo's conv, new or trained for 50 steps, on CIFAR-10 at ten images a class, gradients of both have a cosine of 1
to eight digits. Where there are fewer, fp32 rounds K by more than the ridge, and A has no factor.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

Derivatives = tuple[Tensor, Tensor, Tensor]  # float64: the loss, and its derivatives by F_p (n, d) and by Y (n, K)


def centred(classes: Tensor, count: int) -> Tensor:
    """float32 (N, K): one-hot vectors of class indices (N,), each less its mean, 1 / K."""
    return one_hot(classes, count).float() - 1 / count


def first_targets(classes: Tensor, count: int) -> Tensor:
    """float32 (N, K): what targets start from, centred classes divided by sqrt(K / 10) (release: `init_proto`)."""
    return centred(classes, count) / math.sqrt(count / 10)


def predictions(real: Tensor, synthetic: Tensor, targets: Tensor, regulariser: float) -> Tensor:
    """P (m, K), from F_t, F_p and Y; differentiable."""
    kernel = _regularised(synthetic @ synthetic.T, regulariser)
    found: Tensor = (real @ synthetic.T) @ torch.cholesky_solve(targets, factor_of(kernel))
    return found


def regression_loss(predicted: Tensor, classes: Tensor) -> Tensor:
    """L of P and T, both (m, K)."""
    return 0.5 * (predicted - classes).square().sum(1).mean()


def margin_loss(targets: Tensor) -> Tensor:
    """-mean min(largest - second, 1 / K) of targets (n, K): pushes each image's class ahead of its others by 1 / K.

    The release has it (`lb_margin_th`), the paper does not.
    """
    highest = targets.topk(2, dim=1).values
    margins = highest[:, 0] - highest[:, 1]
    return -torch.minimum(margins, torch.full_like(margins, 1 / targets.shape[1])).mean()


def by_autograd(real: Tensor, synthetic: Tensor, targets: Tensor, classes: Tensor, regulariser: float) -> Derivatives:
    """L and its derivatives as the release has them, by differentiating what is written above."""
    leaves = [synthetic.double().requires_grad_(), targets.detach().double().requires_grad_()]
    loss = regression_loss(predictions(real.double(), leaves[0], leaves[1], regulariser), classes)
    by_synthetic, by_targets = torch.autograd.grad(loss, leaves)
    return loss.detach(), by_synthetic, by_targets


@torch.no_grad()
def in_closed_form(
    real: Tensor, synthetic: Tensor, targets: Tensor, classes: Tensor, regulariser: float
) -> Derivatives:
    """The same by one factorisation of A, which solves for the derivatives as well.

    With alpha = A^-1 Y, G = (P - T) / m and beta = A^-1 (F_p F_t' G): dL/dY = beta, dL/dA = -beta alpha', and

        dL/dF_p = (D + D') F_p + (F_t' G alpha')'     with D = dL/dK = dL/dA + reg tr(dL/dA) / n I

    Nothing of size (n, n) is made but K, A and its factor, and autograd's derivative of a factorisation is spared.
    """
    real, synthetic, targets = real.double(), synthetic.double(), targets.double()
    across = real @ synthetic.T
    factor = factor_of(_regularised(synthetic @ synthetic.T, regulariser))
    alpha = torch.cholesky_solve(targets, factor)
    off = across @ alpha - classes
    pull = off / len(real)
    beta = torch.cholesky_solve(across.T @ pull, factor)
    spread = -(beta * alpha).sum() * (regulariser / len(synthetic))
    by_synthetic = 2 * spread * synthetic - beta @ (alpha.T @ synthetic) - alpha @ (beta.T @ synthetic)
    by_synthetic += alpha @ (pull.T @ real)
    return 0.5 * off.square().sum(1).mean(), by_synthetic, beta


def factor_of(matrix: Tensor) -> Tensor:
    """The Cholesky factor of a matrix (n, n); NaN where it has none, which is seen later: to ask would be to wait."""
    factor, wrong = torch.linalg.cholesky_ex(matrix)
    return torch.where(wrong > 0, torch.nan, factor)


def _regularised(kernel: Tensor, regulariser: float) -> Tensor:
    count = len(kernel)
    ridge = regulariser * kernel.diagonal().sum() / count
    return kernel + ridge * torch.eye(count, dtype=kernel.dtype, device=kernel.device)
