"""Shared by test modules: tables of cases, builders of models and data, programs for child processes.

Import nothing here: tools read some of these modules where Hornbeam is not installed.
"""
