/** A plot of the last minutes. Colours come from the style sheet, so that it follows the theme. */
import uPlot from 'uplot';
import { h, setText } from './dom.ts';

export interface Line {
  readonly label: string;
  /** Custom property of the style sheet. */
  readonly color: string;
  readonly filled?: boolean;
}

export interface ChartOptions {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  readonly logarithmic?: boolean;
}

const HEIGHT = 168;
const SPAN_SECONDS = 300;
/** Messages are whole. */
const WHOLE_STEPS = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();

export class Chart {
  readonly node: HTMLElement;
  readonly #options: ChartOptions;
  readonly #place = h('div', { class: 'plot', 'aria-hidden': 'true' });
  readonly #values: HTMLElement[];
  #plot: uPlot | undefined;
  #data: uPlot.AlignedData = [[]];

  constructor(options: ChartOptions) {
    this.#options = options;
    this.#values = options.lines.map(() => h('b', {}, '–'));
    const legend = options.lines.map(({ label, color }, index) =>
      h('li', { class: color }, h('span', { class: 'swatch' }), `${label} `, this.#values[index] as HTMLElement),
    );
    this.node = h(
      'section',
      { class: 'card chart' },
      h('h2', {}, options.title),
      h('ul', { class: 'legend' }, ...legend),
      this.#place,
    );
    // The width is the layout's: the plot follows it.
    new ResizeObserver(() => this.#resize()).observe(this.#place);
  }

  draw(data: uPlot.AlignedData, latest: readonly string[]): void {
    this.#data = data;
    for (const [index, text] of latest.entries()) {
      const value = this.#values[index];
      if (value !== undefined) setText(value, text);
    }
    if (this.#place.clientWidth === 0) return;
    if (this.#plot === undefined) this.#make();
    this.#plot?.setData(data, false);
    const end = Date.now() / 1_000;
    this.#plot?.setScale('x', { min: end - SPAN_SECONDS, max: end });
  }

  /** The theme has changed. */
  repaint(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
    if (this.#place.clientWidth > 0) this.#make();
  }

  #resize(): void {
    const width = this.#place.clientWidth;
    if (width > 0 && this.#plot !== undefined && this.#plot.width !== width)
      this.#plot.setSize({ width, height: HEIGHT });
  }

  #make(): void {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    const { lines, format, logarithmic = false } = this.#options;
    const axis: uPlot.Axis = {
      stroke: color('muted'),
      grid: { stroke: color('line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui, sans-serif',
    };
    const time = (_plot: uPlot, values: number[]): string[] =>
      values.map((at) => new Date(at * 1_000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' }));
    const options: uPlot.Options = {
      width: this.#place.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 4, 0, 0],
      scales: {
        x: { time: true, auto: false },
        y: logarithmic
          ? { distr: 3, range: (_plot, min, max) => logarithmicRange(min, max) }
          : { range: (_plot, _min, max) => [0, Math.max(4, (max ?? 0) * 1.15)] },
      },
      axes: [
        { ...axis, values: time, incrs: [60], size: 24 },
        {
          ...axis,
          size: 58,
          ...(logarithmic ? {} : { incrs: WHOLE_STEPS }),
          ...(logarithmic ? { filter: wholePowers, grid: { ...axis.grid, filter: wholePowers } } : {}),
          values: (_plot, values) => values.map((value) => (value === null ? '' : format(value))),
        },
      ],
      series: [
        {},
        ...lines.map(({ label, color: name, filled = false }) => ({
          label,
          stroke: color(name),
          width: 1.75,
          ...(filled ? { fill: `${color(name)}22` } : {}),
          points: { show: false },
        })),
      ],
    };
    this.#plot = new uPlot(options, this.#data, this.#place);
  }
}

/** Whole powers of ten around what there is. */
function logarithmicRange(min: number | null, max: number | null): [number, number] {
  const low = 10 ** Math.floor(Math.log10(Math.max(min ?? 1e-3, 1e-4)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(max ?? 1e-2, low * 10)));
  return [low, Math.max(high, low * 10)];
}

const wholePowers = (_plot: uPlot, splits: number[]): (number | null)[] => splits.map(powersOfTen);

function powersOfTen(value: number): number | null {
  return Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6 ? value : null;
}
