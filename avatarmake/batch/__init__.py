"""Many subjects: one line of a list each, brought through the same stages by a queue that is there already.

    subjects.py    the list
    standing.py    where each subject stands: by its receipts, by notes of who works on it, by the queue
    needs.py       memory and GPUs of a stage, from the receipts of earlier runs
    attempt.py     one stage of one subject, as a job runs it; what is left of it when it fails
    pool.py        a queue on this machine
    slurm.py       SLURM's: an array of jobs for each stage
    kubernetes.py  Kubernetes': indexed jobs
    scripts.py     what is the same in both: the shell's part of a job, and how a subject is found in it again
    table.py, page.py  what a person sees of it

No daemon and no state: all of it is found out anew by each `make batch`, so that it may be killed at any moment and
typed again at any time.
"""
