"""What every room stands in: the API's frame and the database's. It knows no organization."""
