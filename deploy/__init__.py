"""What Abdrift is run with: configurations, rules, dashboards, rights, contracts. Forbidden here: Abdrift itself."""
