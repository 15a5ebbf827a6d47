"""Data exports of an organization or a project: asked for, made by a job, kept for a week."""
