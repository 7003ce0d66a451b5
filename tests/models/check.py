"""Lets spin search a model completely: check.py SPIN CC MODEL OUTCOME [-DNAME...].

OUTCOME: "holds": spin searches all states and finds no error; otherwise the error that it has to find, in its words.
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
    # The size of the model: one that is searched in seconds, or in half a minute and a GiB.
    if 'gate' in model:
        variant += ['-DVISITS=2'] if is_full else ['-DVISITS=1']
    elif 'reattach' in model:
        variant += ['-DVISITS=3'] if is_full else ['-DVISITS=2']
    elif 'trace' in model:
        variant += ['-DCALLS=6'] if is_full else ['-DCALLS=4']
    elif 'housekeeping' in model:
        variant += ['-DPUSHES=4'] if is_full else ['-DPUSHES=2']
    elif '-DCLOSING' in variant:
        variant += ['-DPUSHES=4'] if is_full else ['-DPUSHES=2']
    else:
        variant += ['-DPUSHES=5'] if is_full else ['-DPUSHES=3']


def run(*command: str, limit: int = 60) -> str:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit
    )
    if done.returncode:
        sys.exit(f'{" ".join(command)} exited with {done.returncode}:\n{done.stdout}')
    return done.stdout


with tempfile.TemporaryDirectory() as folder:
    run(spin, '-a', *variant, os.path.abspath(model))
    # A complete search compresses its states, which takes a third of the memory and hardly more time.
    options = ['-O2', '-DCOLLAPSE'] if outcome == 'holds' else ['-O0']
    run(*shlex.split(compiler), *options, '-w', '-DSAFETY', '-o', 'pan', 'pan.c')
    output = run('./pan', '-m100000', limit=3000)

name = ' '.join([pathlib.Path(model).stem, *variant])
states = next(line.split()[0] for line in output.splitlines() if 'states, stored' in line)
if 'max search depth too small' in output or 'Search not completed' in output and outcome == 'holds':
    sys.exit(f'{name}: not searched completely:\n{output}')
if outcome == 'holds' and 'errors: 0' not in output:
    sys.exit(f'{name}: does not hold:\n{output}')
if outcome != 'holds' and (outcome not in output or 'errors: 1' not in output):
    sys.exit(f'{name}: "{outcome}" had to be found, and was not:\n{output}')
print(f'{name}: {outcome}, {states} states')
