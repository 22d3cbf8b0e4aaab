"""ResNet's architecture in PyTorch, for small pictures: a 3 x 3 convolution without pooling comes first."""
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, before, maps, stride):
        super().__init__()
        self.conv_1, self.norm_1 = nn.Conv2d(before, maps, 3, stride, 1, bias=False), nn.BatchNorm2d(maps)
        self.conv_2, self.norm_2 = nn.Conv2d(maps, maps, 3, 1, 1, bias=False), nn.BatchNorm2d(maps)
        same = stride == 1 and before == maps
        self.shortcut = nn.Identity() if same else nn.Sequential(nn.Conv2d(before, maps, 1, stride, bias=False), nn.BatchNorm2d(maps))

    def forward(self, x):
        y = functional.relu(self.norm_1(self.conv_1(x)))
        return functional.relu(self.norm_2(self.conv_2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, stages, blocks, width, channels, classes):
        super().__init__()
        layers, before = [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()], width
        for i in range(stages * blocks):
            maps = width << i // blocks
            layers.append(Block(before, maps, 2 if i >= blocks and i % blocks == 0 else 1))
            before = maps
        self.blocks, self.head = nn.Sequential(*layers), nn.Linear(before, classes)

    def forward(self, x):  # (B, channels, H, W) -> (B, classes)
        return self.head(self.blocks(x).mean((2, 3)))
