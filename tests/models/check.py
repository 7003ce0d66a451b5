"""Has spin search a model to the end: check.py SPIN CC MODEL OUTCOME [-DNAME...].

OUTCOME: "holds": the whole of it was searched and nothing is wrong; or what must be found wrong, in spin's words.
"""
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

spin, compiler, model, outcome, *variant = sys.argv[1:]
is_full = os.environ.get('PYATTACH_TEST_FULL') == '1'
if outcome == 'holds':
    # How much happens: as much as is searched in seconds, or in half a minute and a GiB.
    if 'gate' in model:
        variant += ['-DVISITS=2'] if is_full else ['-DVISITS=1']
    elif '-DCLOSING' in variant:
        variant += ['-DPUSHES=4'] if is_full else ['-DPUSHES=2']
    else:
        variant += ['-DPUSHES=5'] if is_full else ['-DPUSHES=3']


def run(*command: str, limit: int = 60) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit)
    if done.returncode:
        sys.exit(f'{" ".join(command)} exited with {done.returncode}:\n{done.stdout}')
    return done.stdout


with tempfile.TemporaryDirectory() as folder:
    run(spin, '-a', *variant, os.path.abspath(model))
    # A search to the end packs its states: a third of the memory, and hardly slower.
    how = ['-O2', '-DCOLLAPSE'] if outcome == 'holds' else ['-O0']
    run(*shlex.split(compiler), *how, '-w', '-DSAFETY', '-o', 'pan', 'pan.c')
    said = run('./pan', '-m100000', limit=3000)

name = ' '.join([pathlib.Path(model).stem, *variant])
states = next(line.split()[0] for line in said.splitlines() if 'states, stored' in line)
if 'max search depth too small' in said or 'Search not completed' in said and outcome == 'holds':
    sys.exit(f'{name}: not searched to the end:\n{said}')
if outcome == 'holds' and 'errors: 0' not in said:
    sys.exit(f'{name}: does not hold:\n{said}')
if outcome != 'holds' and (outcome not in said or 'errors: 1' not in said):
    sys.exit(f'{name}: "{outcome}" was to be found, and was not:\n{said}')
print(f'{name}: {outcome}, {states} states')
