/** One answer with every element that the page draws. */
export const richAnswer = `## Reading the temperature

Ask the driver; it answers **without** waking the model. The tool is \`nvidia-smi\`, and one line is enough:

\`\`\`sh
nvidia-smi --query-gpu=temperature.gpu,power.draw,fan.speed --format=csv,noheader --loop=5
\`\`\`

What the figures mean for a card such as the RTX 3090:

| State | Core | Power |
| :-- | --: | --: |
| Idle | 35–45 °C | 25 W |
| Answering | 60–72 °C | 280 W |
| Too warm | from 83 °C | falls by itself |

1. Below 75 °C all is well.
2. Above it, look at the dust filter first:
   - the front intake,
   - then the card’s own heat sink.
3. Still warm? Limit the power: \`nvidia-smi -pl 280\` costs about 3 % of speed.

> The memory of this card runs hotter than its core; 100 °C there is no fault.

More in the [driver’s manual](https://docs.example/nvidia-smi), with a picture: ![fan curve](https://pictures.example/curve.png)

Prefer a quiet fan curve over a cold card`
