"""The user study of the TPSMM paper (Table 2): a page that asks people, and what their votes say."""
