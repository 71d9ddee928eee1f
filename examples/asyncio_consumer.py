"""An asyncio app with its own acquisition: one task pushes blocks into a ring buffer, one turns them into steps.

The producer here plays a simulated run; in your app it is whatever reads your hardware, in a task or in a thread of
its own. Neither side waits for the other: frames that find no place are counted, and the stream of steps is told
where they are missing.

python examples/asyncio_consumer.py
"""

from __future__ import annotations

import asyncio

import numpy as np

import balancecore as bc

RATE_HZ = 1000.0
DURATION_S = 12.0
BLOCK = 10  # frames a push: 100 blocks a second
FASTER = 20.0  # than real time, so that nobody has to wait
POLL_S = 0.002


async def produce(ring: bc.RingBuffer, trial: bc.Trial, done: asyncio.Event) -> None:
    """Push the run block by block, in its own rhythm."""
    frames = np.hstack([plate.wrench for plate in trial.plates])
    for start in range(0, len(frames), BLOCK):
        ring.push(frames[start : start + BLOCK])
        await asyncio.sleep(BLOCK / RATE_HZ / FASTER)
    done.set()


async def consume(ring: bc.RingBuffer, stream: bc.GaitStream, done: asyncio.Event) -> bc.GaitResult:
    """Pop what waits and print every step as soon as it is complete."""
    room = np.empty((200, ring.n_channels))
    while not (done.is_set() and ring.available == 0):
        frames, lost_before = ring.pop_into(room)
        if frames == 0:
            await asyncio.sleep(POLL_S)
            continue
        for step in stream.push(bc.Block(room[:frames], lost_before)):
            print(f"{step['t_on']:7.3f} s  {step['side']}  contact {1e3 * step['tc']:.0f} ms")
        await asyncio.sleep(0)  # others may run
    return stream.finish()


async def main() -> None:
    """Play a run through the buffer into the stream."""
    trial = bc.simulate.treadmill("run", duration_s=DURATION_S, rate_hz=RATE_HZ, noise_n=3.0, seed=1).trial
    ring = bc.RingBuffer(capacity=2 * int(RATE_HZ), n_channels=12, overrun="gap")
    stream = bc.GaitStream(trial.layout, rate_hz=RATE_HZ, mass_kg=70.0)
    done = asyncio.Event()
    _, result = await asyncio.gather(produce(ring, trial, done), consume(ring, stream, done))
    row = result.symmetry["tc"]
    print(f"{len(result.steps)} steps, {ring.lost} frames lost, contact time SI {row.si:.2f} %")


if __name__ == "__main__":
    asyncio.run(main())
