/** Dark or light: as the system has it, or as was chosen here. */

const KEY = 'sluice-theme';
const choices = ['auto', 'light', 'dark'] as const;
type Choice = (typeof choices)[number];

const names: Readonly<Record<Choice, string>> = { auto: 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' };
const signs: Readonly<Record<Choice, string>> = { auto: '◐', light: '☀', dark: '☾' };

export function theme(button: HTMLButtonElement, changed: () => void): void {
  let choice = chosen();
  const apply = (): void => {
    if (choice === 'auto') document.documentElement.removeAttribute('data-theme');
    else document.documentElement.setAttribute('data-theme', choice);
    button.textContent = signs[choice];
    button.setAttribute('aria-label', names[choice]);
    button.title = names[choice];
  };
  button.addEventListener('click', () => {
    choice = choices[(choices.indexOf(choice) + 1) % choices.length] as Choice;
    localStorage.setItem(KEY, choice);
    apply();
    changed();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  apply();
}

function chosen(): Choice {
  const stored = localStorage.getItem(KEY);
  return choices.find((each) => each === stored) ?? 'auto';
}
