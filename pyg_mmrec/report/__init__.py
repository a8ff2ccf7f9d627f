"""One run or several as one file of HTML (extra ``report``)."""
