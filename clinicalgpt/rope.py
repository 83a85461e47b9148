"""
Rotary positions (RoPE, Su 2021) and the four ways in which released models stretch them.
(Not here: ALiBi, which needs no rotation, see kernels/attention.py.)

    q'_t = R(t) q_t,  k'_t = R(t) k_t,  so that q'_i . k'_j depends on i - j alone         Su 2021, eq. 14
    R(t) turns each pair (x_m, x_{m + K/2}) by the angle t f_m,  f_m = theta^(-2m / K),  m = 0 .. K/2 - 1

    default   f_m as above
    linear    f_m / factor                                            Chen 2023: positions squeezed
    llama3    wavelengths 2 pi / f_m longer than original / low are divided by factor, those shorter
              than original / high are left, and those between go from one to the other    Llama 3.1
    yarn      the same idea with a ramp over m, and q', k' scaled by 0.1 ln(factor) + 1    Peng 2023, sec. 3

Frequencies, angles and their cosines are float32 whatever the model's precision, as in the reference
implementation: checkpoints were trained with them so.

Letters: N tokens, H heads, K head size, J = K / 2 pairs.
"""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rope:
    """What a config.json says about rotary positions; `original` is the length before stretching."""
    theta: float = 10000.0
    kind: str = "default"
    factor: float = 1.0
    original: int = 0
    low: float = 1.0                                        # llama3: low_freq_factor, high_freq_factor
    high: float = 4.0
    beta_fast: float = 32.0                                 # yarn: turns within `original` at which the ramp
    beta_slow: float = 1.0                                  # begins and ends
    truncate: bool = True                                   # yarn: the ramp's ends are whole numbers
    scale: float = 1.0                                      # of the cosines and sines

    def frequencies(self, head_size):
        """f_J, float32: the angle in radians by which each pair turns from one token to the next."""
        power_J = self.theta ** (torch.arange(0, head_size, 2).float() / head_size)
        f_J = 1.0 / power_J
        if self.kind == "linear":
            return f_J / self.factor
        if self.kind == "llama3":
            wavelength_J = 2 * math.pi / f_J
            longest, shortest = self.original / self.low, self.original / self.high
            stretched_J = torch.where(wavelength_J > longest, f_J / self.factor, f_J)
            share_J = (self.original / wavelength_J - self.low) / (self.high - self.low)
            between_J = (wavelength_J <= longest) & (wavelength_J >= shortest)
            mixed_J = (1 - share_J) * stretched_J / self.factor + share_J * stretched_J
            return torch.where(between_J, mixed_J, stretched_J)
        if self.kind == "yarn":
            kept_J = 1 - self._ramp(head_size)
            return 1.0 / (self.factor * power_J) * (1 - kept_J) + f_J * kept_J
        return f_J

    def _ramp(self, head_size):
        """0 for the pairs that turn beta_fast times or more within `original` tokens, 1 for those that turn
        beta_slow times or fewer, linear in m between."""
        def pair_with(turns):
            return head_size * math.log(self.original / (turns * 2 * math.pi)) / (2 * math.log(self.theta))
        first, last = pair_with(self.beta_fast), pair_with(self.beta_slow)
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, head_size - 1)
        if first == last:
            last += 0.001
        return ((torch.arange(head_size // 2).float() - first) / (last - first)).clamp(0, 1)


def rotation(rope, head_size, position_N):
    """(cosines, sines) of these positions, each (N, K), the second half a repetition of the first."""
    angle_NJ = position_N[:, None].float() * rope.frequencies(head_size).to(position_N.device)
    angle_NK = torch.cat([angle_NJ, angle_NJ], dim=-1)
    return angle_NK.cos() * rope.scale, angle_NK.sin() * rope.scale


def rotate(x_NHK, cos_NK, sin_NK):
    """R(t) x for the token of each row."""
    first, second = x_NHK.chunk(2, dim=-1)
    turned_NHK = torch.cat([-second, first], dim=-1)
    return x_NHK * cos_NK[:, None].to(x_NHK.dtype) + turned_NHK * sin_NK[:, None].to(x_NHK.dtype)
