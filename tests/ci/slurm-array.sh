#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
#SBATCH --job-name=daxlab
#SBATCH --array=0-7
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --output=daxlab-%A-%a.log
#
# sbatch tests/ci/slurm-array.sh [ARG…]: the whole lab in as many parts as the array has tasks; ARGs
# are for `daxlab test` too (--kernel …). Submit it in the repository, on a file system that all
# nodes have, after one `tests/daxlab.sh list`, which builds; nodes run it as root, as all of the
# lab. Then: tests/daxlab.sh merge results/shard-* --out results/all
set -eu

cd "${SLURM_SUBMIT_DIR:-.}"
part=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))
exec tests/daxlab.sh test --all --shard "$part/$SLURM_ARRAY_TASK_COUNT" \
    --out "results/shard-$part" "$@"
