"""What processes and machines share: who has what, stages made once, mirrors of object stores, and their cleaning."""
